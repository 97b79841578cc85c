"""What the window is made of, one widget a module; each is given data and draws it."""
