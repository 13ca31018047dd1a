"""Which answers may be kept, and the module that keeps them."""
