"""What a request must be before a handler sees it: rules whose mend is a middleware in front of the application."""
