"""SelecSLS, a fast convolutional backbone, as a library of its own."""
