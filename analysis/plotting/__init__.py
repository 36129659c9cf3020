"""How all figures look: colours, header, footer, bars, and files with reproducible bytes."""
