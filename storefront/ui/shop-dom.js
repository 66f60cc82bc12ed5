// Small things for the page: copies of templates, words for money and time. Data only ever goes in
// as text.

const money = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD" });
const time = new Intl.DateTimeFormat([], {
  hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23",
});

export const byId = (id) => document.getElementById(id);

export const dollars = (amount) => money.format(amount);

export const clockTime = (moment) => time.format(new Date(moment));

/** The first element of a template, ready to be filled. */
export function copy(templateId) {
  return byId(templateId).content.firstElementChild.cloneNode(true);
}

/** Mark an element as just changed; the style decides what that looks like. */
export function flash(element) {
  element.removeAttribute("data-fresh");
  void element.offsetWidth; // starts the animation anew
  element.setAttribute("data-fresh", "");
}
