/* Copies the token that is shown once. Without a clipboard (plain HTTP) it is selected instead. */
"use strict";
{
    const field = document.getElementById("userpods-token");
    const button = document.getElementById("userpods-copy");
    const copied = document.getElementById("userpods-copied");
    button.hidden = false;
    field.addEventListener("focus", () => field.select());
    button.addEventListener("click", async () => {
        field.select();
        let done = false;
        try {
            await navigator.clipboard.writeText(field.value);
            done = true;
        } catch {
            done = document.execCommand("copy");
        }
        copied.textContent = done ? button.dataset.copied : "";
    });
}
