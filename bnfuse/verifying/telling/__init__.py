"""What is said of a verification: text, JSON, JUnit, where models part, a folder that shows it."""
