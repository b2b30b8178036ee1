"""Pictures in and out: decoding what anybody sends, encoding with the parameters inside, resizing, inpainting."""
