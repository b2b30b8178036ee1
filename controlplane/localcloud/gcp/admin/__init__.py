"""The APIs by which a project is administered: what a bootstrap of one calls, with Google's REST shapes.

Each module is one API. They have no published client among this project's packages, so requests and answers are plain
JSON in the shapes of the APIs' discovery documents.
"""
