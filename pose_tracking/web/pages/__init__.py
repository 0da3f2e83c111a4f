"""The routes: one module a page, and `api` for programs."""
