"""Content-addressed build steps: kernel, guest image, runtime images, guest disk."""
