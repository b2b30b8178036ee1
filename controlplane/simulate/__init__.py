"""Replaying recorded or made-up capacity: what the hunt, and policies known from papers, would have got and paid."""
