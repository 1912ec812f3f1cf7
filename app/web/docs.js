// Swagger UI for the OpenAPI description of this service. Nothing is loaded from another host.
const dark = matchMedia("(prefers-color-scheme: dark)");
const applyTheme = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", applyTheme);
applyTheme();

const ui = SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  tryItOutEnabled: true,
  defaultModelsExpandDepth: 0,
  validatorUrl: null,
  onComplete: preferImages,
});

// Swagger UI requests JSON by default. Operations that can return a PNG request one, so that the
// answer is shown as an image.
function preferImages() {
  const paths = ui.specSelectors.specJson().get("paths").toJS();
  for (const [path, operations] of Object.entries(paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      if (operation.responses?.["200"]?.content?.["image/png"]) {
        const choice = { value: "image/png", path, method };
        ui.oas3Actions.setResponseContentType(choice); // the Accept header
        ui.oas3Actions.setResponseCodeContentType({ ...choice, code: "200" }); // the example shown
      }
    }
  }
}
