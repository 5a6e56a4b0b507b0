"""Is the curriculum worth anything?"""
