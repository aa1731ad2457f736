-- What the router's Lua reads. Everything has a default: see lua/userpods/settings.lua.
return {
    pods_url = "https://{pod}.pods.example.org/",
    site_url = "https://userpods.example.org/",
    cookies = { "userpods_token" },
    credential_cookies = { "__Host-userpods", "userpods_token" },
    internal = "127.0.0.1:8081",
}
