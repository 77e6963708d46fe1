"""What a run shows people: figures."""
