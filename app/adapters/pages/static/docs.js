"use strict";
const root = new URL("..", document.currentScript.src); // also where a proxy shows us under a path
SwaggerUIBundle({
  url: new URL("openapi.json", root).href,
  dom_id: "#swagger-ui",
  deepLinking: true,
  persistAuthorization: false,
  displayRequestDuration: true,
  tryItOutEnabled: true,
  docExpansion: "list",
  validatorUrl: null,
});
