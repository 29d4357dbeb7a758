"""What people look at: the admin interface that the command line and the web console read."""
