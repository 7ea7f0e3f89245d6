"""What families are derived from: what each is told and answers, and what those of one kind share."""
