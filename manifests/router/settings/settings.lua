-- What the router's Lua reads. Everything has a default: see lua/userpods/settings.lua.
return {
    name_prefix = "user-",
    login_url = "/accounts/login/",
    credential_cookies = { "sessionid", "userpods_token" },
    cookies = { "sessionid", "csrftoken", "messages", "userpods_token" },
    internal = "127.0.0.1:8081",
}
