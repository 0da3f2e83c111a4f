"""What tracks do by a network that sees 16 pictures of them, beside the rules on their poses."""
