-- For `luacheck` (Debian: lua-check), which `make check` runs where it is installed.
std = "ngx_lua"
max_line_length = 100
