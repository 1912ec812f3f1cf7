// Swagger UI on the service's own description; nothing is fetched from outside.
const dark = matchMedia("(prefers-color-scheme: dark)");
const theme = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", theme);
theme();

const ui = SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  tryItOutEnabled: true,
  defaultModelsExpandDepth: 0,
  validatorUrl: null,
  onComplete: preferImages,
});

// Swagger UI asks for JSON unless told otherwise; people here want to see images.
function preferImages() {
  const paths = ui.specSelectors.specJson().get("paths").toJS();
  for (const [path, operations] of Object.entries(paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      if (operation.responses?.["200"]?.content?.["image/png"]) {
        const choice = { value: "image/png", path, method };
        ui.oas3Actions.setResponseContentType(choice); // what is asked for
        ui.oas3Actions.setResponseCodeContentType({ ...choice, code: "200" }); // what is shown
      }
    }
  }
}
