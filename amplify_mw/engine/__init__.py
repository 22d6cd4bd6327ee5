"""The rooms that may wait: drivers, flights, caches, HTTP.

(Nothing is imported here: the verbs load `context`, and do not pay for the drivers.)
"""
