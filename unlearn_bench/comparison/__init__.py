"""Two results against each other: is the new one worse, by how much, and could the comparison have seen it?"""
