"""The version of the encoders, which is part of every ETag."""

import deflate
from PIL import Image

ENCODERS_VERSION = f"1-{deflate.__version__}-{Image.__version__}"  # type: ignore[attr-defined]
"""Changes whenever the same pixels may be encoded to different bytes."""
