"""HTTP: routes, wire types, negotiation, problems and middleware.

Read a request:
    queries, query_route                 parameters of a query, and the routes that validate them
    request_body, multipart              forms and files
    latents_body, json_numbers           latents in JSON
    encode_uploads, moves, limits        uploads, directions and limits in terms of a model
    compressed_files, large_bodies       compressed files; bounds on bodies that are read at once
    paths, dependencies                  the path and the services of a request

Answer it:
    negotiation, render, result          choose a format, and encode a result in it
    archive, decode_stream               zip files, also of more images than fit into memory
    responses_schema, provenance         JSON documents, and where an answer comes from
    strips, direction_traversal          the images of /traverse
    unusual                              warnings of uploads that are not like the data
    caching, content_coding, precompressed    ETags and compression
    problems, error_handlers, gate       errors, and early refusals of an overloaded service
    security_headers, page_bundle        headers of every answer, and the page

Other protocols, and the description of the API:
    v2_codec, v2_schema                  Open Inference Protocol
    openai_schema, picture_size          OpenAI's API
    mcp_tools, mcp_service, mcp_images   Model Context Protocol
    openapi, openapi_examples            the description at /openapi.json

`routes` has the endpoints, and `middleware` what every request passes.
"""
