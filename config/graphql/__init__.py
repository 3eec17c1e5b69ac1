"""A GraphQL schema generated from Django models. A library: it imports no app and no other config module.

naming.py     GraphQL names out of Python's            scalars.py    Time, Cursor, maps, ids
columns.py    model field -> type and predicates       registry.py   what has been generated, by name
nodes.py      where a field's value comes from         generate.py   all of a model, from one declaration
where.py      what is searched -> Q                    inputs.py     create and update inputs
selection.py  what a query selects -> what to load     connection.py keyset pages
mutations.py  create, update, delete root fields       bulk.py       the same for many rows
uploads.py    files of a request                       table.py      a CSV file -> rows of an input
refetch.py    node and nodes                           policy.py     who may call a root field
errors.py     exception -> message and code            limits.py     depth, aliases, cost
lookups.py    text lookups alike on every database     view.py       HTTP
"""
