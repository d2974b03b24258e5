"""argv, environment and TOML -> RunSpec. All validation ends here.

`options` is the table of what can be asked for, `files` reads the configuration files,
`sources` decides whose word counts, and `resolve` turns the words into a RunSpec. Nothing
here looks at the kernel: what this process may use is an argument.
"""
