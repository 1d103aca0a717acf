// Shows the OpenAPI document with Swagger UI; "Authorize" takes an API key.
window.SwaggerUIBundle({
  url: document.getElementById("api").dataset.document,
  dom_id: "#api",
  deepLinking: true,
  docExpansion: "list",
  validatorUrl: null,
  presets: [window.SwaggerUIBundle.presets.apis],
});
