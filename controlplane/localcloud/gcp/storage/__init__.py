"""Cloud Storage: buckets and objects by the JSON API, kept as folders and files that a person can look into and add to.

A folder is the bucket. What somebody copies into it is an object with all that belongs to one, and what a program puts
into the bucket is a plain file; so a pipeline can be tried with a file manager at one end.
"""
