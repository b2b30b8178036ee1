"""The pipeline on AWS: a file in an S3 bucket, a function that reads it, an array job of AWS Batch on GPU instances."""
