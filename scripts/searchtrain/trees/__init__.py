"""Research trees (InfoSeek): grown page by page, checked by program, turned into questions."""
