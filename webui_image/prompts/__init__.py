"""What users write: A1111's prompt syntax, the text inside its pictures, its file of prompts. Standard library only."""
