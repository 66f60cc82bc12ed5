"""Views: composed from several services, in time, and honest about what is missing or old.

* `shapes`    the views as JSON has them
* `parts`     a question's outcome: a value or a hole, and what to say of its source
"""
