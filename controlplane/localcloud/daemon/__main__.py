"""`python -m controlplane.localcloud.daemon`."""

import logging
import os
import sys

from controlplane.localcloud.daemon.main import main

if __name__ == "__main__":
    code = main()
    logging.shutdown()
    sys.stderr.flush()
    # Everything has been stopped and saved; threads of libraries (gRPC) must not keep the process.
    os._exit(code)
