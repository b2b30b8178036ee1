"""Files of parameters become folders of pictures, without a server: `parameters` reads, `run` renders."""
