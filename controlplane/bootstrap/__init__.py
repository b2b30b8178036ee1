"""Makes what a project needs before anything can be hunted for in it, and takes it down again.

What is needed is data: parts, in order, each with what it is, what it costs and the gcloud command that does the same.
Nothing is remembered between runs: each looks at what is there, so that one that was killed is simply run again.
"""
