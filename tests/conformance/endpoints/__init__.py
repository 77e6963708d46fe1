"""The endpoints, one module per vendor: what each refuses, how each cuts, what each sends back."""
