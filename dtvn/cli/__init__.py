"""The program `dtvn`: what a developer runs without a platform. Thin: arguments, files and output."""
