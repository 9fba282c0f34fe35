"""What the two ports can be asked, as OpenAPI 3.1 and as a page."""
