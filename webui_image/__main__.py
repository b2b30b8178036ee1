"""`python -m webui_image`."""

from webui_image.cli import main

if __name__ == "__main__":
    main()
