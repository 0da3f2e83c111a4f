"""The gallery as a web page and as REST."""
