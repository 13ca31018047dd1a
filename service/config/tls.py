"""What all outgoing calls trust."""

import ssl

TLS = ssl.create_default_context()
