"""What a study is: its file read and checked, what its trials are made of, and what editors and beginners are told of it."""
