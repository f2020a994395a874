"""The console: pages as HTML, made on the server, live by polling and by one event stream for logs."""
