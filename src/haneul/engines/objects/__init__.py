"""Objects: buckets, objects of any size, multipart uploads, and the events that changes to them cause."""
