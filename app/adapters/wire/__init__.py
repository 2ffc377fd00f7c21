"""The one public JSON: what people and programs outside see, for REST and for the socket alike.

Each public shape stands once, in the file of its subject, with its example: resources are typed dicts, made from domain
values by the function beside them; requests are models that refuse what they don't know; durable events and signals are
typed dicts that the documents publish and tests hold each frame against. docs/protocol.md says in words what stands here
in types. `registry` merges the subjects; what is derived from it (documents, checks, the socket's requests) can't forget one.
"""
