// Shows the OpenAPI document with Swagger UI; "Authorize" takes an API key. Without one a call is made with the session
// of its visitor, and the policy of the page lets it reach no other origin.
const { dataset } = document.getElementById("api");
document.documentElement.classList.toggle("dark-mode", matchMedia("(prefers-color-scheme: dark)").matches);

// Swagger UI's page with the landmark and the heading that assistive technology expects, and without its choice
// among servers: there is one.
const accessible = {
  wrapComponents: {
    InfoContainer: (Original, { React }) => (properties) =>
      React.createElement(
        "section",
        { "aria-label": "About" },
        React.createElement(Original, properties),
        React.createElement("h2", { className: "wrapper" }, "Operations"),
      ),
    ServersContainer: () => () => null,
  },
};

window.SwaggerUIBundle({
  url: dataset.document,
  dom_id: "#api",
  deepLinking: false, // its links would lie within buttons
  docExpansion: "list",
  validatorUrl: null,
  requestInterceptor: function (request) {
    request.headers["X-CSRFToken"] = dataset.csrf;
    return request;
  },
  plugins: [accessible],
  presets: [window.SwaggerUIBundle.presets.apis],
});
