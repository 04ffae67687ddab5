"""The system `views`: a person carved from pictures made elsewhere."""
