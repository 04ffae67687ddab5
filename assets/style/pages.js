// The parts of the page beside the person: which one is shown stands in the address, so that it can be linked to.
const PARTS = ["evaluation", "compare"];

export function pages() {
  const show = () => {
    const wanted = location.hash.slice(1);
    document.body.dataset.hsPage = PARTS.includes(wanted) ? wanted : "person";
    for (const link of document.querySelectorAll(".hs-parts a")) link.toggleAttribute("aria-current", link.hash.slice(1) === wanted);
  };
  window.addEventListener("hashchange", () => {
    show();
    scrollTo(0, 0);
  });
  show();
}
