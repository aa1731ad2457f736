/* Names for what the admin draws without one, for those who have pages read to them: the search of a
   list, which has an icon alone, and the box that a field with autocompletion is drawn as. */
"use strict";
{
    const name = () => {
        const search = document.getElementById("searchbar");
        const help = document.getElementById("searchbar_helptext");
        if (search && help) search.setAttribute("aria-label", help.textContent.trim());
        for (const box of document.querySelectorAll(".select2-selection__rendered")) {
            const field = box.id.replace(/^select2-|-container$/g, "");
            const label = document.querySelector(`label[for="${CSS.escape(field)}"]`);
            if (label) box.setAttribute("aria-label", label.textContent.trim().replace(/:$/, ""));
        }
    };
    // After the boxes are drawn: what waits for jQuery is called in turn.
    window.addEventListener("load", () => (window.django?.jQuery ?? ((f) => f()))(name));
}
