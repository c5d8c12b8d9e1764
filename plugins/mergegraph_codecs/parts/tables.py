"""What codes of four bits stand for."""

# sign, two bits of exponent, one of fraction (OCP microscaling formats, E2M1)
FP4 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0)
