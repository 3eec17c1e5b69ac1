// Starts GraphiQL with the credential of the bar above it: a pasted token, or else the session.
// The token lives in this variable only; what GraphiQL remembers ends with the tab.
"use strict";
(() => {
  const WHOLE_TOKEN = /^tol[ap]_[0-9A-Za-z]{46}$/;
  const FIRST_QUERY = "{ viewer { kind label scopes abilities } }\n";

  const place = document.getElementById("graphiql");
  const form = document.getElementById("credential");
  const field = document.getElementById("token");
  const forget = document.getElementById("forget");
  const acting = document.getElementById("acting");
  const { endpoint, person, csrfToken } = place.dataset;
  const root = ReactDOM.createRoot(place);
  let token = "";
  let turn = 0;

  const say = (text, isWrong = false) => {
    acting.textContent = text;
    acting.classList.toggle("wrong", isWrong);
  };

  // With a token the cookies stay at home, so that it alone decides.
  const credential = () =>
    token
      ? { credentials: "omit", headers: { Authorization: `Bearer ${token}` } }
      : { credentials: "same-origin", headers: { "X-CSRFToken": csrfToken } };

  const fetcher = async (params, options = {}) => {
    const { credentials, headers } = credential();
    const answer = await fetch(endpoint, {
      method: "POST",
      credentials,
      headers: { ...options.headers, ...headers, "Content-Type": "application/json", Accept: "application/json" },
      body: JSON.stringify(params),
    });
    const body = await answer.json().catch(() => ({ errors: [{ message: `HTTP ${answer.status} without JSON` }] }));
    if (answer.status === 401) say(body.error || "Not signed in.", true);
    return body;
  };

  // `schema: null` keeps GraphiQL from asking for the schema while there is nobody to ask as;
  // a new key starts it afresh, so that the schema is asked for again as somebody else.
  const show = () => {
    const isSomebody = Boolean(token || person);
    forget.hidden = !token;
    if (token) say(`Acting with ${token.slice(0, 9)}…`);
    else if (person) say(`Logged in as ${person}`);
    else say("Paste a token or log in. The token stays in this tab and is gone when you leave it.");
    root.render(
      React.createElement(GraphiQL, {
        key: (turn += 1),
        fetcher,
        schema: isSomebody ? undefined : null,
        defaultQuery: FIRST_QUERY,
        storage: window.sessionStorage,
        showPersistHeadersSettings: false,
      }),
    );
  };

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const pasted = field.value.trim();
    if (!WHOLE_TOKEN.test(pasted)) {
      say("This is not a whole token: tola_ or tolp_ and 46 letters and digits.", true);
      return;
    }
    token = pasted;
    field.value = "";
    show();
  });

  forget.addEventListener("click", () => {
    token = "";
    show();
    field.focus();
  });

  show();
})();
